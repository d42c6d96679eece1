/*
 * listing.c: what the emulator has in a folder that the machine has too, such as /dev and /sys/class, comes after
 * the machine's own entries; replaced: functions that list directories.
 */

#include "shim.h"

/* On LP64 the names with 64 are the same functions. Elsewhere listings stay what they are. */
#ifdef __LP64__

/* A directory that is open and has something of ours in it. */
struct listing {
    DIR *directory;
    struct listing *next;
    unsigned count, at;
    struct dirent *entries;
    bool *doubled; /* the machine has an entry of that name */
};

/* Under the table's lock, which fork looks after. A listing itself belongs to whoever uses the directory. */
static _Atomic(struct listing *) listings;

static struct listing *listing_of(DIR *directory)
{
    if (atomic_load(&listings) == NULL || pthread_mutex_lock(&table_lock) != 0)
        return NULL;
    struct listing *listing = atomic_load(&listings);
    while (listing != NULL && listing->directory != directory)
        listing = listing->next;
    pthread_mutex_unlock(&table_lock);
    return listing;
}

static void drop(DIR *directory)
{
    struct listing *found = NULL;
    if (atomic_load(&listings) == NULL || pthread_mutex_lock(&table_lock) != 0)
        return;
    struct listing *before = NULL, *listing = atomic_load(&listings);
    for (; listing != NULL && found == NULL; before = listing, listing = listing->next) {
        if (listing->directory != directory)
            continue;
        found = listing;
        if (before == NULL)
            atomic_store(&listings, found->next);
        else
            before->next = found->next;
        break;
    }
    pthread_mutex_unlock(&table_lock);
    if (found != NULL) {
        free(found->entries);
        free(found->doubled);
        free(found);
    }
}

static bool add(struct listing *listing, const struct dirent *entry, bool device)
{
    struct dirent *more = realloc(listing->entries, (listing->count + 1) * sizeof *more);
    if (more == NULL)
        return false;
    listing->entries = more;
    struct dirent *mine = &more[listing->count++];
    memset(mine, 0, sizeof *mine);
    size_t length = strlen(entry->d_name);
    memcpy(mine->d_name, entry->d_name, length + 1);
    mine->d_ino = entry->d_ino;
    mine->d_type = device ? DT_CHR : entry->d_type;
    mine->d_reclen = (unsigned short)((offsetof(struct dirent, d_name) + length + 1 + 7) & ~(size_t)7);
    return true;
}

/* A directory was opened: see whether the emulator has something in it. */
static DIR *opened(DIR *directory)
{
    char link[48], path[PATH_MAX], ours[PATH_MAX];
    if (directory == NULL || tree_path[0] == 0)
        return directory;
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd(directory));
    ssize_t length = NEXT(readlink)(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    bool device = strcmp(path, "/dev") == 0;
    DIR *mine = NULL;
    bool fits = (size_t)snprintf(ours, sizeof ours, "%s%s", tree_path, path) < sizeof ours;
    if (fits && (device || is_below(path, "/sys")))
        mine = NEXT(opendir)(ours);
    struct listing *listing = mine == NULL ? NULL : calloc(1, sizeof *listing);
    if (listing != NULL) {
        struct dirent *entry;
        while ((entry = NEXT(readdir)(mine)) != NULL && (entry->d_name[0] == '.' || add(listing, entry, device)))
            ;
        listing->directory = directory;
        listing->doubled = calloc(listing->count + 1, sizeof *listing->doubled);
        if (listing->doubled != NULL && pthread_mutex_lock(&table_lock) == 0) {
            listing->next = atomic_load(&listings);
            atomic_store(&listings, listing);
            pthread_mutex_unlock(&table_lock);
        } else {
            free(listing->entries);
            free(listing->doubled);
            free(listing);
        }
    }
    if (mine != NULL)
        NEXT(closedir)(mine);
    errno = saved;
    return directory;
}

static struct dirent *next_entry(DIR *directory)
{
    struct listing *listing = listing_of(directory);
    struct dirent *entry = NEXT(readdir)(directory);
    if (listing == NULL)
        return entry;
    if (entry != NULL) {
        for (unsigned i = 0; i < listing->count; i++)
            listing->doubled[i] |= strcmp(listing->entries[i].d_name, entry->d_name) == 0;
        return entry;
    }
    while (listing->at < listing->count)
        if (!listing->doubled[listing->at++])
            return &listing->entries[listing->at - 1];
    return NULL;
}

/* ---------------------------------------------------------------- replaced */

REPLACES DIR *opendir(const char *path)
{
    char room[PATH_MAX];
    return opened(NEXT(opendir)(overlaid(AT_FDCWD, path, room)));
}

REPLACES DIR *fdopendir(int fd)
{
    start();
    return opened(NEXT(fdopendir)(fd));
}

REPLACES struct dirent *readdir(DIR *directory)
{
    return next_entry(directory);
}

REPLACES struct dirent64 *readdir64(DIR *directory)
{
    return (struct dirent64 *)next_entry(directory);
}

static int copy_entry(DIR *directory, struct dirent *entry, struct dirent **result)
{
    int saved = errno;
    errno = 0;
    struct dirent *found = next_entry(directory);
    int number = errno;
    errno = saved;
    *result = NULL;
    if (found == NULL)
        return number;
    memcpy(entry, found, found->d_reclen < sizeof *entry ? found->d_reclen : sizeof *entry);
    *result = entry;
    return 0;
}

REPLACES int readdir_r(DIR *directory, struct dirent *entry, struct dirent **result)
{
    return copy_entry(directory, entry, result);
}

REPLACES int readdir64_r(DIR *directory, struct dirent64 *entry, struct dirent64 **result)
{
    return copy_entry(directory, (struct dirent *)entry, (struct dirent **)result);
}

REPLACES int closedir(DIR *directory)
{
    drop(directory);
    return NEXT(closedir)(directory);
}

REPLACES void rewinddir(DIR *directory)
{
    struct listing *listing = listing_of(directory);
    if (listing != NULL)
        listing->at = 0;
    NEXT(rewinddir)(directory);
}

/* Places among our entries are told by numbers that no file system gives. */
REPLACES long telldir(DIR *directory)
{
    struct listing *listing = listing_of(directory);
    return listing != NULL && listing->at > 0 ? LONG_MIN + (long)listing->at : NEXT(telldir)(directory);
}

REPLACES void seekdir(DIR *directory, long place)
{
    struct listing *listing = listing_of(directory);
    if (listing != NULL)
        listing->at = place < LONG_MIN + (long)listing->count + 1 ? (unsigned)(place - LONG_MIN) : 0;
    if (listing == NULL || listing->at == 0)
        NEXT(seekdir)(directory, place);
}

typedef int (*selector)(const struct dirent *);
typedef int (*comparison)(const struct dirent **, const struct dirent **);

/* The C library's scandir() calls its own readdir(). */
static int scan(DIR *directory, struct dirent ***result, selector chosen, comparison compare)
{
    struct dirent **found = NULL, *entry;
    size_t count = 0, room = 0;
    int saved = errno, number = 0;
    if (directory == NULL)
        return -1;
    for (errno = 0; (entry = next_entry(directory)) != NULL; errno = 0) {
        if (chosen != NULL && !chosen(entry))
            continue;
        if (count == room) {
            struct dirent **more = realloc(found, (room = 2 * room + 16) * sizeof *found);
            if (more == NULL)
                break;
            found = more;
        }
        if ((found[count] = malloc(entry->d_reclen)) == NULL)
            break;
        memcpy(found[count++], entry, entry->d_reclen);
    }
    number = errno;
    closedir(directory);
    if (number != 0) {
        while (count > 0)
            free(found[--count]);
        free(found);
        return error(number);
    }
    if (compare != NULL && count > 0)
        qsort(found, count, sizeof *found, (int (*)(const void *, const void *))(void *)compare);
    *result = found;
    errno = saved;
    return (int)count;
}

static DIR *open_at(int directory, const char *path)
{
    int fd = openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    DIR *found = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && found == NULL)
        close(fd);
    return found;
}

REPLACES int scandir(const char *path, struct dirent ***result, selector chosen, comparison compare)
{
    return scan(opendir(path), result, chosen, compare);
}

REPLACES int scandir64(const char *path, struct dirent64 ***result, int (*chosen)(const struct dirent64 *),
                       int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
    return scan(opendir(path), (struct dirent ***)result, (selector)(void *)chosen, (comparison)(void *)compare);
}

REPLACES int scandirat(int directory, const char *path, struct dirent ***result, selector chosen, comparison compare)
{
    return scan(open_at(directory, path), result, chosen, compare);
}

REPLACES int scandirat64(int directory, const char *path, struct dirent64 ***result,
                         int (*chosen)(const struct dirent64 *),
                         int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
    return scan(open_at(directory, path), (struct dirent ***)result, (selector)(void *)chosen,
                (comparison)(void *)compare);
}

/* The C library's glob() calls its own readdir() unless it is told which one to call. */
#define GLOB(name, type, status_type, stat_name, lstat_name, readdir_name)                                       \
    REPLACES int name(const char *pattern, int flags, int (*failed)(const char *, int), type *found)             \
    {                                                                                                            \
        start();                                                                                                 \
        if (tree_path[0] != 0 && !(flags & GLOB_ALTDIRFUNC)) {                                                   \
            found->gl_opendir = (void *(*)(const char *))(void *)opendir;                                        \
            found->gl_readdir = (void *)readdir_name;                                                            \
            found->gl_closedir = (void (*)(void *))(void *)closedir;                                             \
            found->gl_stat = (int (*)(const char *, status_type *))stat_name;                                    \
            found->gl_lstat = (int (*)(const char *, status_type *))lstat_name;                                  \
            flags |= GLOB_ALTDIRFUNC;                                                                            \
        }                                                                                                        \
        return NEXT(name)(pattern, flags, failed, found);                                                        \
    }

GLOB(glob, glob_t, struct stat, stat, lstat, readdir)
GLOB(glob64, glob64_t, struct stat64, stat64, lstat64, readdir64)

#endif
