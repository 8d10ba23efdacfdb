"""The archive and the catalogue as a data centre: FDSN web services, SeedLink, web pages."""
