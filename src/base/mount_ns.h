/* mount_ns: a mount namespace of one's own, also for who stands in a chroot whose folder is no mount (a build tree, a rescue
 * system), where neither mount(2)'s propagation flags nor pivot_root(2) accept "/". */
#pragma once

/* unshare(CLONE_NEWNS) for the calling, single-threaded process; propagation: MS_PRIVATE or MS_SLAVE, for every mount in it. In
 * such a chroot the namespace's root becomes the chroot's folder, and nothing above it is left in the namespace. The working
 * directory is kept. 0 or -errno; after an error the process is fit for _exit only. */
int mount_ns_new(unsigned long propagation);
/* The same for who was born in a mount namespace of its own. */
int mount_ns_cut_off(unsigned long propagation);
