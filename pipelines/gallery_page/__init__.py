"""The morning page: the stories of committed runs as a folder of static files."""
