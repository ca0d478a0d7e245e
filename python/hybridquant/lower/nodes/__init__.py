"""How operators become integer nodes, one node a file."""
