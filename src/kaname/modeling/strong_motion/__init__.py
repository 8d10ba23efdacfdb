"""Strong-motion records of every origin, processed and measured, in one database."""
