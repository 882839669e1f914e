/* Whether the lab in the folder `root` seems to have a fork server. */
int is_served(const char *root);

/* Have the fork server of the lab in the folder `root` do this command; return its exit status, -1 where
 * it isn't done by it. `clones`: whether this process may become a container's first. */
int served(const char *root, int clones);
