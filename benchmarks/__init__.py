"""Speed of the program, compared with the program of 2015, other frameworks and the machine's limits."""
