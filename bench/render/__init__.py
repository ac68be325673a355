"""From boards to pages, tables and figures."""
