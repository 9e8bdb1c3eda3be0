#ifndef TE_METADATA_SERVER_ACCESS_LOG_H_
#define TE_METADATA_SERVER_ACCESS_LOG_H_

#include <string>

#include "te/metadata/metadata_access.h"

namespace te::metadata_server {

// One JSON object, without a line break: what clients have sent is escaped.
// {"method":"Put","key":"te/segment/a","peer":"ipv4:10.0.0.1:4711","code":"OK",
//  "us":12,"error":"..."}, the last only if the code is not OK.
std::string FormatAccess(const MetadataAccess& access);

// What a client could have done better: neither OK nor the NOT_FOUND and the
// ABORTED that are part of ordinary life.
bool IsError(const MetadataAccess& access);

}  // namespace te::metadata_server

#endif  // TE_METADATA_SERVER_ACCESS_LOG_H_
