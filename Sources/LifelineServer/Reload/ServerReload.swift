import Basics
import Posix

/// Reads the configuration again, at SIGHUP or at an operator's `reload`, and hands it to what goes by it.
final class ServerReload {
    private var options: ServerOptions
    private let reload: Reloader?
    /// The group that the server has become.
    private let ownGroup: UInt32?
    private let registry: ChildRegistry
    private let launcher: ChildLauncher
    private let reaper: ChildReaper
    private let acceptor: ConnectionAcceptor
    private let shutdown: ParentShutdown
    private let notifier: ServiceNotifier
    private let log: Log

    /// - Parameters:
    ///   - options: What the server runs with.
    ///   - reload: Reads the configuration; nil where there is none, and the token file alone is read again.
    ///   - ownGroup: The group that the server has become; nil where it is still what it was.
    ///   - registry: The children.
    ///   - launcher: What children inherit.
    ///   - reaper: What kills what programs leave behind.
    ///   - acceptor: Which clients are let in.
    ///   - shutdown: How the server ends; nothing is reloaded from then on.
    ///   - notifier: What hears of the reload.
    ///   - log: Where the result is written.
    init(
        _ options: ServerOptions, _ reload: Reloader?, ownGroup: UInt32?, _ registry: ChildRegistry,
        _ launcher: ChildLauncher, _ reaper: ChildReaper, _ acceptor: ConnectionAcceptor, _ shutdown: ParentShutdown,
        _ notifier: ServiceNotifier, log: Log
    ) {
        self.options = options
        self.reload = reload
        self.ownGroup = ownGroup
        self.registry = registry
        self.launcher = launcher
        self.reaper = reaper
        self.acceptor = acceptor
        self.shutdown = shutdown
        self.notifier = notifier
        self.log = log
    }

    /// How many tokens there are; nil where everybody may connect.
    var tokenCount: Int? { launcher.tokenFile?.tokens.count }

    /// Takes over what the configuration says now: all of it or, where anything is wrong, nothing. Returns the flags
    /// that a restart alone changes.
    @discardableResult
    func run() -> Result<[String], ReloadError> {
        notifier.notify(.reloading(at: Instant.now.sinceStart))
        defer { if shutdown.isServing { notifier.notify(.ready(address: acceptor.listeners.text)) } }
        do throws(ReloadError) {
            let (kept, lost) = try readAgain()
            report(kept: kept, lost: lost)
            return .success(kept)
        } catch {
            log.write(.notReloaded) { $0.text(.text, "\(error); the configuration stays as it was") }
            return .failure(error)
        }
    }

    private func readAgain() throws(ReloadError) -> (kept: [String], lost: [AdmissionLoss]) {
        guard shutdown.isServing else { throw ReloadError("the server is shutting down") }
        let reloaded = try reload?()
        let (options, kept) = (reloaded?.options ?? options).takenOver(by: self.options)
        let lost = options.admissionLost(from: self.options)
        if let removed = reloaded?.removed { try ServerReload.check(lost, removed: removed) }
        let tokenFile: TokenFile?
        do throws(StartError) {
            try options.checkPool(against: reloaded?.factory.againstReuse)
            try options.checkSharing(against: reloaded?.factory.againstSharing)
            try acceptor.listeners.check(options.proxyFrom)
            tokenFile = try options.tokenFile.map { path throws(StartError) in
                try TokenFile(path, ownGroup: ownGroup, running: launcher.tokenFile)
            }
        } catch {
            throw ReloadError(error.description)
        }
        self.options = options
        launcher.reconfigure(options, reloaded?.factory, tokenFile: tokenFile)
        if reloaded?.factory.leavesOrphans ?? false { reaper.expectOrphans() }
        registry.budget.limit = options.memoryBudget.map { Int($0) }
        registry.retireProcesses()
        registry.shared?.reconfigure(options)
        let clients = registry.records.filter { $0.standing != .backEnd }
        acceptor.admission.reconfigure(options, children: clients.map { ($0.countedAddress, $0.slot) })
        for listener in acceptor.listeners { listener.takeHeaders(from: options.proxyFrom) }
        acceptor.listenersHaveChanged()
        shutdown.reconfigure(options)
        log.set(options)
        return (kept + (reloaded?.alsoKept ?? []), lost)
    }

    /// Throws where the configuration lacks a rule, would let more clients in without it, and does not say so.
    private static func check(_ lost: [AdmissionLoss], removed: Set<AdmissionRule>) throws(ReloadError) {
        let silent = lost.filter { $0.opens && !removed.contains($0.rule) }
        guard !silent.isEmpty else { return }
        let rules = AdmissionRule.allCases.filter { rule in silent.contains { $0.rule == rule } }
        throw ReloadError(
            "the configuration lacks \(list(silent.map(\.description))), and would let more clients in: it may be half "
                + "written; where that is meant, put \(list(rules.map(\.removal))) before what stays")
    }

    private static func list(_ texts: [String]) -> String {
        let most = 5
        return texts.prefix(most).map { "'\($0)'" }.joined(separator: ", ")
            + (texts.count > most ? " and \(texts.count - most) more" : "")
    }

    private func report(kept: [String], lost: [AdmissionLoss]) {
        log.write(.reloaded, at: kept.isEmpty ? .info : .warning) {
            if let tokenCount { $0.number(.tokens, tokenCount) }
            if !lost.isEmpty { $0.text(.dropped, lost.map(\.description).joined(separator: ", ")) }
            guard !kept.isEmpty else { return }
            $0.text(.kept, kept.joined(separator: ","))
            $0.text(.text, "a restart changes these; until then they stay as they were")
        }
        launcher.tokenFile?.checkPermissions(log)
    }
}
