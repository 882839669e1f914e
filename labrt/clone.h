/* What `clone_once` returns. */
enum { CLONED, END, DO_IT_YOURSELF };

/* Do one request to clone that comes by `way`. At its END no other comes. Whoever asks may send two
 * bytes instead: what it had to do can't be done by asking. */
int clone_once(int way);
