import Arguments
import Basics
import Framing
import Inheritance
import LifelineClient
import Posix

/// Those of input and network, and a few of Swift's pool.
let threadsOfClient = 7
let start = ProcessStart.begin(.client, in: "client")
let console = Console()
if start.replacedStreams.contains(StandardStream.output.rawValue) {
    console.fail(.ioError, "standard output is closed, or not open for writing")
}
if let refusal = start.refusal { console.fail(.osError, refusal) }
do throws(SystemError) { try tryThreads(threadsOfClient) } catch {
    console.fail(
        .osError,
        "cannot have \(threadsOfClient) threads: \(error.text) (\(error.call)); raise the limits of processes and memory "
            + "(ulimit -u, ulimit -v)")
}

let arguments = Argument.own
if arguments.first == Argument("bench") { LoadBenchmark.run(Array(arguments.dropFirst())) }

var settings = ClientSettings()
var given: Set<String> = []
do throws(UsageError) {
    switch try ClientSettings.command.parse(arguments, into: &settings, given: &given) {
    case .help: console.write(Array("\(ClientSettings.command.help)\n".utf8))
    case .version: console.write(Array("client (Lifeline) \(lifelineVersion)\n".utf8))
    case .generate(let what):
        console.write(Array("\(ClientSettings.command.generated(what, for: "lifeline-client"))\n".utf8))
    case .run:
        try settings.check(given)
        TLSFlags.prepare(settings.options.tls, for: settings.servers, port: settings.port)
        settings.options.connectTimeout = settings.timeout
        let run = Run(settings: settings, console: console)
        let status = settings.mode == .long ? await run.long() : await run.short()
        console.leave(status)
    }
} catch {
    console.fail(.usage, error.description)
}
exitProcess(ExitStatus.ok.rawValue)
