"""How the number of people at the tills changes over time, for locust."""
