// All types that columns are read as and parameters are passed as.
#pragma once

#include <lido/postgres/array.hpp>
#include <lido/postgres/bytea.hpp>
#include <lido/postgres/chrono.hpp>
#include <lido/postgres/converter.hpp>
#include <lido/postgres/enumeration.hpp>
#include <lido/postgres/json.hpp>
#include <lido/postgres/numeric.hpp>
#include <lido/postgres/uuid.hpp>
