/* SPDX-License-Identifier: MIT */
/*
 * hold_guard INSTANCE SLOT STATE: makes the segment of a running daemon look as if the worker in SLOT stood still
 * within the guard: `held` (token and cell are its), `acquiring` (it has the token, the cell is free) or `releasing`
 * (the cell is free, the post to come). For a worker that hangs elsewhere, so that it does not disagree.
 */
#include "segment/segment.h"
#include "segment/semaphores.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

int
main(int argc, char **argv)
{
        static const char *const names[] = {"idle", "acquiring", "held", "releasing"};
        char name[SEGMENT_NAME_MAX];
        uint32_t slot = argc == 4 ? (uint32_t)atoi(argv[2]) : UINT32_MAX;
        struct segment_header *h;
        struct semaphores sem;
        struct run *run;
        struct slot *slots;
        int fd;

        if (argc != 4)
                return 64;
        segment_name(name, geteuid(), argv[1]);
        fd = shm_open(name, O_RDWR, 0);
        h = fd >= 0 ? mmap(NULL, sizeof(*h), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
        if (h != MAP_FAILED)
                h = mmap(NULL, h->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (h == MAP_FAILED || slot >= h->n_slots || semaphores_open(&sem, geteuid(), argv[1], h->generation) < 0)
                return 70;
        run = (void *)((char *)h + h->off_run);
        slots = (void *)((char *)h + h->off_slots);
        if (sem_trywait(sem.sem[SEMAPHORE_GUARD]) < 0)
                return 75;
        if (strcmp(argv[3], "held") == 0)
                atomic_store(&run->guard.cell[0], slot + 1);
        for (uint32_t state = 0; state < sizeof(names) / sizeof(names[0]); state++) {
                if (strcmp(names[state], argv[3]) == 0)
                        atomic_store(&slots[slot].permit_state, state);
        }
        return 0;
}
