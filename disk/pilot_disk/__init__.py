"""What both services need to survive being killed: durable files, and a database that is up to date."""
