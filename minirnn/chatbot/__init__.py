"""The chatbot: generated conversations, its network, training and scores, and the trained weights."""
