"""What a course asks for, the right answers, and the mistakes that are known."""
