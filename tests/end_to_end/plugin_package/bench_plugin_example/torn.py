"""A module that breaks while it is imported, as anybody's may."""

raise OSError("the weights that this plugin reads are not there")
