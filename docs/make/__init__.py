"""What makes the documentation: the site's hook, the generated references, the pictures."""
