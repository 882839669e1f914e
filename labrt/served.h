/* Have the fork server do this command; return its exit status, -1 where it isn't done by it. */
int served(void);
