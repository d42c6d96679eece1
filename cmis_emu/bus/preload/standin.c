/*
 * standin.c: sockets of generic netlink where the kernel has none (some containers); replaced: functions that make
 * and name sockets.
 *
 * A stand-in is a Unix datagram socket that sends to itself what a kernel would have sent (netlink.c). It knows the
 * names and options of a netlink socket.
 */

#include "shim.h"

#include <linux/netlink.h>

enum { STANDINS_MAX = 64 };

/* Under the table's lock, which fork looks after. */
static struct standin standins[STANDINS_MAX];
static atomic_uint standins_made;

bool standin_of(int fd, struct standin *found)
{
    if (atomic_load(&standins_made) == 0)
        return false;
    ino_t inode = socket_inode(fd);
    bool there = false;
    if (inode == 0 || pthread_mutex_lock(&table_lock) != 0)
        return false;
    for (unsigned i = 0; i < STANDINS_MAX && !there; i++)
        if (standins[i].inode == inode) {
            *found = standins[i];
            there = true;
        }
    pthread_mutex_unlock(&table_lock);
    return there;
}

static void keep_standin(struct standin standin)
{
    if (pthread_mutex_lock(&table_lock) != 0)
        return;
    unsigned place = STANDINS_MAX;
    for (unsigned i = 0; i < STANDINS_MAX; i++)
        if (standins[i].inode == standin.inode)
            place = i;
    if (place == STANDINS_MAX)
        place = atomic_fetch_add(&standins_made, 1) % STANDINS_MAX;
    standins[place] = standin;
    pthread_mutex_unlock(&table_lock);
}

/* ---------------------------------------------------------------- replaced */

REPLACES int socket(int domain, int type, int protocol)
{
    start();
    int fd = NEXT(socket)(domain, type, protocol);
    if (fd >= 0 || !has_interfaces || domain != AF_NETLINK || protocol != NETLINK_GENERIC || errno == EMFILE ||
        errno == ENFILE)
        return fd;
    int refusal = errno;
    struct sockaddr_un itself = {.sun_family = AF_UNIX};
    fd = NEXT(socket)(AF_UNIX, SOCK_DGRAM | (type & (SOCK_CLOEXEC | SOCK_NONBLOCK)), 0);
    if (fd < 0)
        return error(refusal);
    NEXT(bind)(fd, (struct sockaddr *)&itself, sizeof itself.sun_family); /* the kernel gives it a name */
    keep_standin((struct standin){.inode = socket_inode(fd), .port = 0});
    return fd;
}

REPLACES int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct standin here;
    if (!standin_of(fd, &here))
        return NEXT(bind)(fd, address, length);
    const struct sockaddr_nl *wanted = (const struct sockaddr_nl *)address;
    if (length < sizeof *wanted || wanted->nl_family != AF_NETLINK)
        return error(EINVAL);
    here.port = wanted->nl_pid != 0 ? wanted->nl_pid : (uint32_t)getpid();
    keep_standin(here);
    return 0;
}

REPLACES int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    struct standin here;
    return standin_of(fd, &here) ? 0 : NEXT(connect)(fd, address, length);
}

static int tell_name(uint32_t port, struct sockaddr *address, socklen_t *length)
{
    struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_pid = port};
    memcpy(address, &name, *length < sizeof name ? *length : sizeof name);
    *length = sizeof name;
    return 0;
}

REPLACES int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    struct standin here;
    return standin_of(fd, &here) ? tell_name(here.port, address, length) : NEXT(getsockname)(fd, address, length);
}

REPLACES int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    struct standin here;
    return standin_of(fd, &here) ? tell_name(0, address, length) : NEXT(getpeername)(fd, address, length);
}

REPLACES int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    struct standin here;
    if (level != SOL_NETLINK || !standin_of(fd, &here))
        return NEXT(setsockopt)(fd, level, name, value, length);
    if (length < sizeof(int) || is_bad_pointer(value))
        return error(EINVAL);
    bool on = *(const int *)value != 0;
    if (name == NETLINK_EXT_ACK)
        here.extended = on;
    else if (name == NETLINK_CAP_ACK)
        here.capped = on;
    else if (name != NETLINK_ADD_MEMBERSHIP && name != NETLINK_DROP_MEMBERSHIP && name != NETLINK_GET_STRICT_CHK &&
             name != NETLINK_NO_ENOBUFS)
        return error(ENOPROTOOPT);
    keep_standin(here);
    return 0;
}

REPLACES int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    struct standin here;
    int answer;
    if (!standin_of(fd, &here))
        return NEXT(getsockopt)(fd, level, name, value, length);
    if (level == SOL_SOCKET && name == SO_DOMAIN)
        answer = AF_NETLINK;
    else if (level == SOL_SOCKET && name == SO_PROTOCOL)
        answer = NETLINK_GENERIC;
    else if (level == SOL_NETLINK && (name == NETLINK_EXT_ACK || name == NETLINK_CAP_ACK))
        answer = name == NETLINK_EXT_ACK ? here.extended : here.capped;
    else
        return NEXT(getsockopt)(fd, level, name, value, length);
    if (*length < sizeof answer)
        return error(EINVAL);
    memcpy(value, &answer, sizeof answer);
    *length = sizeof answer;
    return 0;
}
