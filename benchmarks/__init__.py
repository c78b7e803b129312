"""How fast the program is, beside the program of 2015, other frameworks and what the machine can do."""
