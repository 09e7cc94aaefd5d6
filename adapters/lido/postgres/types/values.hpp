// All types that columns are read as and parameters are passed as.
#pragma once

#include <lido/postgres/types/array.hpp>
#include <lido/postgres/types/bytea.hpp>
#include <lido/postgres/types/chrono.hpp>
#include <lido/postgres/types/converter.hpp>
#include <lido/postgres/types/enumeration.hpp>
#include <lido/postgres/types/json.hpp>
#include <lido/postgres/types/numeric.hpp>
#include <lido/postgres/types/uuid.hpp>
