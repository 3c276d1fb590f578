"""The contract as data: OpenAPI 3.1 made from the routes, the structs and the table of errors."""
