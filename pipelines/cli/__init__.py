"""How every command begins and ends: options, logs, errors, exit codes, runners and progress."""
