// What opens connections.
#pragma once

#include <concepts>

#include <lido/facts.hpp>

namespace lido {

/// Opens connections: called with an `OpenInfo`, or with nothing, from several threads at once. Returns the connection,
/// or throws; an exception that derives from `PermanentFailure` too says that trying again cannot help.
template <class Connector>
concept ConnectorType =
    // Copying is asked last: asked of a pool it would ask whether a pool is a connector.
    (std::invocable<const Connector&, const OpenInfo&> || std::invocable<const Connector&>) &&
    std::copy_constructible<Connector>;

}  // namespace lido
