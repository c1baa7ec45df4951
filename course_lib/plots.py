"""The house style; one colour and one marker per role."""
