"""A run's model in the formats of others, for use where this program is not.

`formats` names them, a module each writes one, and `exporting` writes a folder of it, whole or not
at all.
"""
