/* Every way of the C library to list a directory: each prints the names that start with i2c, sorted. */
#define _GNU_SOURCE
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#pragma GCC diagnostic ignored "-Wunused-result"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *names[64];
static int count, kinds[256];

static void note(const char *name, int kind)
{
    if (strncmp(name, "i2c-", 4) != 0)
        return;
    names[count++] = strdup(name);
    kinds[kind]++;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void tell(const char *way)
{
    qsort(names, (size_t)count, sizeof *names, by_name);
    printf("%s:", way);
    for (int i = 0; i < count; i++)
        printf(" %s", names[i]);
    printf(" chr=%d lnk=%d errno=%d\n", kinds[DT_CHR], kinds[DT_LNK], errno);
    count = 0;
    memset(kinds, 0, sizeof kinds);
    errno = 0;
}

static int wanted(const struct dirent *entry)
{
    return strncmp(entry->d_name, "i2c-", 4) == 0;
}

int main(int argc, char **argv)
{
    const char *folder = argv[argc - 1];
    struct dirent *entry, **all;
    errno = 0;
    DIR *directory = opendir(folder);
    while ((entry = readdir(directory)) != NULL)
        note(entry->d_name, entry->d_type);
    tell("readdir");
    rewinddir(directory);
    while ((entry = readdir(directory)) != NULL)
        note(entry->d_name, entry->d_type);
    tell("rewinddir");
    rewinddir(directory);
    long place = -1;
    while (entry = readdir(directory), entry != NULL)
        if (strcmp(entry->d_name, "i2c-2") == 0)
            place = telldir(directory);
    seekdir(directory, place);
    struct dirent *after = readdir(directory);
    seekdir(directory, place);
    struct dirent *again = readdir(directory);
    printf("seekdir: %d\n", (after == NULL) == (again == NULL));
    closedir(directory);

    int fd = open(folder, O_RDONLY | O_DIRECTORY);
    directory = fdopendir(fd);
    struct dirent space;
    while (readdir_r(directory, &space, &entry) == 0 && entry != NULL)
        note(entry->d_name, entry->d_type);
    tell("fdopendir and readdir_r");
    closedir(directory);

    int found = scandir(folder, &all, wanted, alphasort);
    for (int i = 0; i < found; i++)
        note(all[i]->d_name, all[i]->d_type);
    tell("scandir");
    chdir(folder);
    found = scandirat(AT_FDCWD, ".", &all, NULL, versionsort);
    for (int i = 0; i < found; i++)
        note(all[i]->d_name, all[i]->d_type);
    tell("scandirat");

    glob_t matches;
    char pattern[256];
    snprintf(pattern, sizeof pattern, "%s/i2c-*", folder);
    if (glob(pattern, 0, NULL, &matches) == 0)
        for (size_t i = 0; i < matches.gl_pathc; i++)
            note(strrchr(matches.gl_pathv[i], '/') + 1, 0);
    globfree(&matches);
    tell("glob");
    if (glob("i2c-[0-9]*", GLOB_MARK, NULL, &matches) == 0)
        for (size_t i = 0; i < matches.gl_pathc; i++)
            note(matches.gl_pathv[i], 0);
    tell("relative glob");
    return 0;
}
