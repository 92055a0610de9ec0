"""Commands that use trained networks: the chatbot."""
