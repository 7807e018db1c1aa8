"""The version of all packages.

A search in the metadata of the installed packages would take 50 ms.
"""

__version__ = "0.1.0"
