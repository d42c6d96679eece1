/*
 * setup.c: what the library knows from the start: its settings, and where the C library's own functions are.
 */

#include "shim.h"

#include <dlfcn.h>

#define AS_TEXT(name) #name,
static const char *const next_names[NEXT_COUNT] = {REPLACED(AS_TEXT)};
static _Atomic(void *) next_addresses[NEXT_COUNT];

static pthread_once_t once = PTHREAD_ONCE_INIT;
char server_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
char tree_path[sizeof server_path + 8];
bool enabled;
bool path_too_long;
bool has_interfaces;
long timeout_ms = TIMEOUT_MS_DEFAULT;
struct timespec loaded_at;

/*
 * The next definition of a function, or NULL. The constructor asks for all of them, so that dlsym (which may
 * allocate and lock) never runs in a signal handler or between vfork and exec; before the constructor, on use.
 */
void *next_address(enum next which)
{
    void *address = atomic_load_explicit(&next_addresses[which], memory_order_acquire);
    if (address == NULL) {
        address = dlsym(RTLD_NEXT, next_names[which]);
        atomic_store_explicit(&next_addresses[which], address, memory_order_release);
    }
    return address;
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The emulator keeps its part of sysfs in a folder beside its socket (tree.py). */
static void find_tree(void)
{
    char interfaces[sizeof tree_path + 8];
    snprintf(tree_path, sizeof tree_path, "%s.tree", server_path);
    snprintf(interfaces, sizeof interfaces, "%s/net", tree_path);
    has_interfaces = NEXT(access)(interfaces, F_OK) == 0;
    if (NEXT(access)(tree_path, F_OK) != 0)
        tree_path[0] = 0;
}

static void set_up(void)
{
    for (int i = 0; i < NEXT_COUNT; i++)
        next_address((enum next)i);
    set_up_table();
    clock_gettime(CLOCK_REALTIME, &loaded_at);

    const char *path = getenv("CMIS_EMU_SOCKET");
    if (path == NULL || path[0] == 0)
        return;
    path_too_long = strlen(path) >= sizeof server_path;
    strncpy(server_path, path, sizeof server_path - 1);
    const char *timeout = getenv("CMIS_EMU_TIMEOUT_MS");
    if (timeout != NULL) {
        char *end;
        long value = strtol(timeout, &end, 10);
        if (end != timeout && *end == 0 && value > 0 && value <= INT_MAX)
            timeout_ms = value;
    }
    enabled = true;
    find_tree();
    adopt_inherited();
}

__attribute__((constructor)) void start(void)
{
    int saved = errno;
    pthread_once(&once, set_up);
    errno = saved;
}
