"""The morning page: what committed runs told, as a folder of static files."""
