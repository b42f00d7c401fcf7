/* shm.c - documents in sealed memory. A memfd without all four seals is never mapped. */
#include "proxy/base/shm.h"

#include "proxy/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

int shm_seal(const char *name, struct str doc)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -1;
    if (sys_write_all(fd, doc.p, doc.n) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
        sys_close(fd);
        return -1;
    }
    return fd;
}

int shm_map(int fd, struct str *doc)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    void *p;

    if (seals < 0 || fstat(fd, &st) < 0)
        return -1;
    if ((seals & SEALS) != SEALS) {
        errno = EPERM;
        return -1;
    }
    if (st.st_size == 0) {
        *doc = STR_NONE;
        return 0;
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return -1;
    *doc = (struct str){p, (size_t)st.st_size};
    return 0;
}

void shm_unmap(struct str doc)
{
    if (doc.n)
        munmap((void *)doc.p, doc.n);
}
