/* files_wire: the numbers of a stream of nodes (files_stream.h) that its writer and its reader share. */
#pragma once

#define MAGIC      "BFS2"
#define PIECE_MAX  (256u << 10)
#define TEXT_MAX   4096u        /* path, target, link */
#define XATTR_MAX  (64u << 10)  /* a value: the kernel's own limit */
#define XATTRS_MAX 256u         /* of a node, */
#define XATTRS_LEN (512u << 10) /* and of their bytes together */

enum { IS_DIR = 1, IS_CONTENT = 2, IS_TAR = 4 };
enum { NODE_LEN = 40, PIECE_LEN = 12, HEAD_LEN = 8, XATTR_LEN = 6 };
