"""SeFAR (AAAI 2025), written as an outside plugin would be: it imports only `methods` and `datasets`."""
