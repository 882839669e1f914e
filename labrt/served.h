/* Have the fork server of the lab in the folder `root` do this command; return its exit status, -1 where
 * it isn't done by it. */
int served(const char *root);
