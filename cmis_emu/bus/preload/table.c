/*
 * table.c: which descriptors are ours, the locks of their connections, and what fork does to both.
 *
 * The table is only a hint. A descriptor is ours when the table says so AND its inode is the socket's, so a number
 * that was closed behind our back (fclose, close_range) and given to another file is never touched. Connections and
 * table chunks are never unmapped, so a lookup needs no lock: take the pointer, lock the connection, look again.
 *
 * Lock order: connection, then table.
 */

#include "shim.h"

#include <sys/mman.h>

pthread_mutex_t table_lock;
static _Atomic(_Atomic(struct connection *) *) table[CHUNKS];
static struct connection *free_connections, *all_connections;
static bool fork_holds_table; /* set by the thread that forks, under the table's lock */

static _Atomic(pid_t) home_process; /* the process this memory belongs to */
atomic_uint fork_generation;
static atomic_uint making; /* sockets that are not in the table yet */
static atomic_int *witness; /* 1; the kernel makes it 0 in a child that has memory of its own */

typedef _Atomic(struct connection *) slot;

static void after_fork_in_child(void);

/*
 * True in a vfork child, whose memory is its parent's: leave the table alone. A child that fork() did not make
 * (_Fork, a bare system call) has memory of its own, but nobody told us: take it over now.
 */
bool is_guest(void)
{
    if (getpid() == atomic_load_explicit(&home_process, memory_order_relaxed))
        return false;
    if (witness == NULL || atomic_load_explicit(witness, memory_order_relaxed) != 0)
        return true;
    after_fork_in_child();
    return false;
}

void make_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

/* Zeroed memory that is never given back. */
static void *permanent(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* ---------------------------------------------------------------- slots */

static slot *slot_of(int fd)
{
    if (fd < 0 || fd >= CHUNK * CHUNKS)
        return NULL;
    slot *chunk = atomic_load_explicit(&table[fd / CHUNK], memory_order_acquire);
    return chunk == NULL ? NULL : &chunk[fd % CHUNK];
}

/*
 * A socket exists under its number before the table can say so. Whoever uses that number meanwhile, because it was
 * something else a moment ago, is told what the kernel would say: that there is no such descriptor yet. A thread that
 * is cancelled in between would leave the socket behind, so cancellation waits.
 */
int begin_making(void)
{
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    atomic_fetch_add(&making, 1);
    return cancel_state;
}

void end_making(int cancel_state)
{
    atomic_fetch_sub(&making, 1);
    pthread_setcancelstate(cancel_state, NULL);
}

bool is_in_the_making(int fd)
{
    if (atomic_load_explicit(&making, memory_order_relaxed) == 0 || hint(fd) != NULL)
        return false;
    int saved = errno;
    bool is = named_bus(fd) >= 0 && hint(fd) == NULL;
    errno = saved;
    return is;
}

/* What the table says of a descriptor: a hint. The fast path of every replaced function. */
struct connection *hint(int fd)
{
    slot *place = slot_of(fd);
    return place == NULL ? NULL : atomic_load_explicit(place, memory_order_acquire);
}

ino_t socket_inode(int fd)
{
    struct stat status;
    int saved = errno;
    ino_t inode = next_fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
    errno = saved;
    return inode;
}

bool is_socket_of(const struct connection *connection, int fd)
{
    ino_t inode = atomic_load_explicit(&connection->inode, memory_order_relaxed);
    return inode != 0 && socket_inode(fd) == inode;
}

/* Point a slot elsewhere, counting. A connection that no slot points at can be used for another open. */
static void set_slot(slot *place, struct connection *connection)
{
    struct connection *old = atomic_load_explicit(place, memory_order_relaxed);
    if (old == connection)
        return;
    if (connection != NULL)
        connection->references++;
    atomic_store_explicit(place, connection, memory_order_release);
    if (old != NULL && --old->references == 0) {
        old->next_free = free_connections;
        free_connections = old;
    }
}

void forget(int fd, struct connection *expected)
{
    slot *place = slot_of(fd);
    if (place == NULL || pthread_mutex_lock(&table_lock) != 0)
        return; /* in a signal handler inside the table: the inode check covers a slot left behind */
    if (atomic_load_explicit(place, memory_order_relaxed) == expected)
        set_slot(place, NULL);
    pthread_mutex_unlock(&table_lock);
}

bool remember(int fd, struct connection *connection)
{
    if (fd < 0 || fd >= CHUNK * CHUNKS || pthread_mutex_lock(&table_lock) != 0)
        return false;
    if (atomic_load(&table[fd / CHUNK]) == NULL)
        atomic_store(&table[fd / CHUNK], permanent(CHUNK * sizeof(slot)));
    slot *place = slot_of(fd);
    if (place != NULL)
        set_slot(place, connection);
    pthread_mutex_unlock(&table_lock);
    return place != NULL;
}

/* A connection with no references, not locked; its old content is still there. */
struct connection *take_connection(void)
{
    if (pthread_mutex_lock(&table_lock) != 0)
        return NULL;
    struct connection *connection = free_connections;
    if (connection != NULL) {
        free_connections = connection->next_free;
    } else {
        enum { BATCH = 16 };
        struct connection *batch = permanent(BATCH * sizeof *batch);
        for (int i = 0; batch != NULL && i < BATCH; i++) {
            make_lock(&batch[i].lock);
            batch[i].next_all = all_connections;
            all_connections = &batch[i];
            if (i > 0) {
                batch[i].next_free = free_connections;
                free_connections = &batch[i];
            }
        }
        connection = batch;
    }
    pthread_mutex_unlock(&table_lock);
    return connection;
}

void give_back(struct connection *connection)
{
    if (pthread_mutex_lock(&table_lock) != 0)
        return;
    connection->next_free = free_connections;
    free_connections = connection;
    pthread_mutex_unlock(&table_lock);
}

/* Lock a connection. A cancelled thread must not leave it locked, so cancellation waits meanwhile. */
bool lock(struct connection *connection)
{
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    if (pthread_mutex_lock(&connection->lock) != 0) {
        pthread_setcancelstate(cancel_state, NULL);
        return false; /* this very thread holds it: we are in a signal handler */
    }
    connection->cancel_state = cancel_state;
    return true;
}

void unlock(struct connection *connection)
{
    int cancel_state = connection->cancel_state;
    pthread_mutex_unlock(&connection->lock);
    pthread_setcancelstate(cancel_state, NULL);
}

/*
 * The connection of a descriptor, locked; NULL when the descriptor is not ours, and then *busy tells whether it
 * is ours after all but held by the code this signal handler interrupted.
 */
struct connection *acquire(int fd, bool *busy)
{
    struct connection *connection;
    *busy = false;
    if (hint(fd) == NULL)
        return NULL;
    if (witness == NULL || atomic_load_explicit(witness, memory_order_relaxed) == 0)
        is_guest(); /* takes over what a bare fork left behind, its locks above all */
    while ((connection = hint(fd)) != NULL) {
        if (!lock(connection)) {
            *busy = is_socket_of(connection, fd);
            return NULL;
        }
        bool same = hint(fd) == connection;
        if (same && is_socket_of(connection, fd))
            return connection;
        if (same && !is_guest())
            forget(fd, connection);
        unlock(connection);
        if (same)
            break;
        /* While we waited the number was closed and opened again: it may be ours once more. */
    }
    return NULL;
}

/* Clear the slot of a descriptor that is about to go away, after a transfer in another thread has ended. */
struct connection *detach(int fd)
{
    struct connection *connection = hint(fd);
    if (connection == NULL || is_guest())
        return NULL;
    bool locked = lock(connection);
    bool ours = hint(fd) == connection && is_socket_of(connection, fd);
    forget(fd, connection);
    if (ours && !locked && connection->references == 0)
        atomic_store(&connection->abandoned, true);
    if (locked)
        unlock(connection);
    return ours ? connection : NULL;
}

/*
 * The bus of a descriptor, or -1. Takes no lock: fstat() does not wait for a transfer. Only when the inode is not
 * the connection's it has to ask again under the lock, since renew() changes the one before the other.
 */
int bus_of_descriptor(int fd)
{
    struct connection *connection = hint(fd);
    if (connection == NULL || socket_inode(fd) == 0)
        return -1;
    bool ours = is_socket_of(connection, fd);
    if (!ours && lock(connection)) {
        ours = hint(fd) == connection && is_socket_of(connection, fd);
        unlock(connection);
    }
    return ours ? (int)atomic_load_explicit(&connection->bus, memory_order_relaxed) : -1;
}

/* Every descriptor of a locked connection. */
void for_each_descriptor(const struct connection *connection, void (*visit)(int fd, int with), int with)
{
    for (int fd = 0; fd < CHUNK * CHUNKS; fd++) {
        if (atomic_load(&table[fd / CHUNK]) == NULL)
            fd += CHUNK - 1;
        else if (hint(fd) == connection && is_socket_of(connection, fd))
            visit(fd, with);
    }
}

/* The connection that has a socket, or NULL. Before the program has threads. */
struct connection *connection_of_inode(ino_t inode)
{
    struct connection *connection = all_connections;
    while (connection != NULL && (connection->references == 0 || atomic_load(&connection->inode) != inode))
        connection = connection->next_all;
    return connection;
}

/* ---------------------------------------------------------------- fork */

static void before_fork(void)
{
    if (pthread_mutex_lock(&table_lock) == 0)
        fork_holds_table = true;
}

static void after_fork_in_parent(void)
{
    if (fork_holds_table) {
        fork_holds_table = false;
        pthread_mutex_unlock(&table_lock);
    }
}

/*
 * The child has one thread: locks that other threads of the parent held are made anew (and ours too, whose owner
 * has another number now). The streams stay the parent's; transact() sees that.
 */
static void after_fork_in_child(void)
{
    fork_holds_table = false;
    make_lock(&table_lock);
    for (struct connection *connection = all_connections; connection != NULL; connection = connection->next_all)
        make_lock(&connection->lock);
    atomic_store(&home_process, getpid());
    atomic_fetch_add(&fork_generation, 1);
    atomic_store(&making, 0);
    if (witness != NULL)
        atomic_store(witness, 1);
}

void set_up_table(void)
{
    make_lock(&table_lock);
    atomic_store(&home_process, getpid());
    witness = permanent(sizeof *witness);
    if (witness != NULL && madvise(witness, sizeof *witness, MADV_WIPEONFORK) == 0)
        atomic_store(witness, 1);
    else
        witness = NULL;
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
