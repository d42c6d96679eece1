/*
 * overlay.c: the emulator's part of sysfs, laid over the machine's own; replaced: functions on paths.
 *
 * The emulator keeps its part as plain files and links in a folder of its own (tree.py). A path below /sys that
 * names something there leads there, unless it is a folder that the machine has too: that one stays the machine's,
 * and listing.c adds what the emulator has in it.
 */

#include "shim.h"

/*
 * A path made absolute; NULL when that is not worth it: only relative paths that speak of i2c can be ours, and only
 * those cost a question.
 */
const char *absolute(int directory, const char *path, char room[PATH_MAX])
{
    char link[48];
    if (is_bad_pointer(path) || path[0] == 0)
        return NULL;
    if (path[0] == '/')
        return path;
    if (strstr(path, "i2c") == NULL)
        return NULL;
    ssize_t length;
    if (directory == AT_FDCWD) {
        length = NEXT(readlink)("/proc/self/cwd", room, PATH_MAX - 1);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        length = NEXT(readlink)(link, room, PATH_MAX - 1);
    }
    size_t more = strlen(path);
    if (length <= 0 || (size_t)length + more + 2 > PATH_MAX)
        return NULL;
    if (room[length - 1] != '/')
        room[length++] = '/';
    memcpy(room + length, path, more + 1);
    return room;
}

bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == 0 || path[length] == '/');
}

/* Where a path leads to: itself, or a place in the emulator's tree, written to `room`. Keeps errno. */
const char *overlaid(int directory, const char *path, char room[PATH_MAX])
{
    char full[PATH_MAX];
    struct stat status;
    start();
    if (tree_path[0] == 0 || is_bad_pointer(path) || (path[0] == '/' && !is_below(path, "/sys")))
        return path;
    int saved = errno;
    const char *found = path;
    const char *whole = absolute(directory, path, full);
    if (whole != NULL && is_below(whole, "/sys") &&
        (size_t)snprintf(room, PATH_MAX, "%s%s", tree_path, whole) < PATH_MAX && next_lstat(room, &status) == 0 &&
        !(S_ISDIR(status.st_mode) && next_lstat(whole, &status) == 0))
        found = room;
    errno = saved;
    return found;
}

/* A path of the tree as the program knows it. */
static char *seen(char *path)
{
    size_t length = strlen(tree_path);
    if (path != NULL && length > 0 && is_below(path, tree_path) && path[length] != 0)
        memmove(path, path + length, strlen(path + length) + 1);
    return path;
}

/* ---------------------------------------------------------------- replaced */

REPLACES FILE *fopen(const char *path, const char *mode)
{
    char room[PATH_MAX];
    return NEXT(fopen)(overlaid(AT_FDCWD, path, room), mode);
}

REPLACES FILE *fopen64(const char *path, const char *mode)
{
    char room[PATH_MAX];
    return NEXT(fopen64)(overlaid(AT_FDCWD, path, room), mode);
}

REPLACES ssize_t readlink(const char *path, char *buffer, size_t size)
{
    char room[PATH_MAX];
    return NEXT(readlink)(overlaid(AT_FDCWD, path, room), buffer, size);
}

REPLACES ssize_t readlinkat(int directory, const char *path, char *buffer, size_t size)
{
    char room[PATH_MAX];
    return NEXT(readlinkat)(directory, overlaid(directory, path, room), buffer, size);
}

REPLACES ssize_t __readlink_chk(const char *path, char *buffer, size_t size, size_t space)
{
    char room[PATH_MAX];
    return NEXT(__readlink_chk)(overlaid(AT_FDCWD, path, room), buffer, size, space);
}

REPLACES ssize_t __readlinkat_chk(int directory, const char *path, char *buffer, size_t size, size_t space)
{
    char room[PATH_MAX];
    return NEXT(__readlinkat_chk)(directory, overlaid(directory, path, room), buffer, size, space);
}

REPLACES char *realpath(const char *path, char *resolved)
{
    char room[PATH_MAX];
    return seen(NEXT(realpath)(overlaid(AT_FDCWD, path, room), resolved));
}

REPLACES char *__realpath_chk(const char *path, char *resolved, size_t space)
{
    char room[PATH_MAX];
    return seen(NEXT(__realpath_chk)(overlaid(AT_FDCWD, path, room), resolved, space));
}

REPLACES char *canonicalize_file_name(const char *path)
{
    char room[PATH_MAX];
    return seen(NEXT(canonicalize_file_name)(overlaid(AT_FDCWD, path, room)));
}

REPLACES int chdir(const char *path)
{
    char room[PATH_MAX];
    return NEXT(chdir)(overlaid(AT_FDCWD, path, room));
}

REPLACES char *getcwd(char *buffer, size_t size)
{
    return seen(NEXT(getcwd)(buffer, size));
}

REPLACES char *__getcwd_chk(char *buffer, size_t size, size_t space)
{
    return seen(NEXT(__getcwd_chk)(buffer, size, space));
}

/* A device file has no extended attributes; `ls -l` asks. */
#define ATTRIBUTE_OR(path, without, next_call)                                                                   \
    do {                                                                                                         \
        char room[PATH_MAX];                                                                                     \
        start();                                                                                                 \
        if (existing_bus(AT_FDCWD, path) >= 0)                                                                   \
            return (without);                                                                                    \
        const char *place = overlaid(AT_FDCWD, path, room);                                                      \
        return (next_call);                                                                                      \
    } while (0)

REPLACES ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
{
    ATTRIBUTE_OR(path, error(ENODATA), NEXT(getxattr)(place, name, value, size));
}

REPLACES ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)
{
    ATTRIBUTE_OR(path, error(ENODATA), NEXT(lgetxattr)(place, name, value, size));
}

REPLACES ssize_t listxattr(const char *path, char *list, size_t size)
{
    ATTRIBUTE_OR(path, 0, NEXT(listxattr)(place, list, size));
}

REPLACES ssize_t llistxattr(const char *path, char *list, size_t size)
{
    ATTRIBUTE_OR(path, 0, NEXT(llistxattr)(place, list, size));
}
