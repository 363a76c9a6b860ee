"""Whether anything accepted is lost, halved or doubled when writer and database are killed."""
