"""Random days: changes of a source, commands, kills and outages."""
