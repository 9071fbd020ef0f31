"""What a session may ask: each service bounded, its operations one by one, with a pause in which others go on."""
