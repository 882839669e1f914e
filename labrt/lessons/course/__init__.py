"""The course: one file per lesson, one lesson per notebook."""
