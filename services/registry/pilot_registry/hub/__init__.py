"""The registry as the Hugging Face Hub would answer: its listings, its errors, and the card of each adapter."""
