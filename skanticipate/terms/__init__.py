"""What a network is taught: the terms of its objective."""
