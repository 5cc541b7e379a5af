// Drafts: objects of the file system that are made under another name in the same folder and get
// their own when they are complete, so that nobody ever finds them half made.
#ifndef INTERPROC_OS_DRAFT_H_
#define INTERPROC_OS_DRAFT_H_

#include <string>

#include "os/result.h"

namespace interproc::os {

// The folder of a path; "." for a name alone.
std::string DirectoryOf(const std::string& path);

// A name beside `path` that nobody has.
Result<std::string> DraftOf(const std::string& path);

// Gives the draft the name `path`, if that is free; else errno tells why.
bool RenameExclusively(const std::string& draft, const std::string& path);

}  // namespace interproc::os

#endif  // INTERPROC_OS_DRAFT_H_
