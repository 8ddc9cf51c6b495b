import Arguments
import Basics
import LifelineClient
import Posix

let console = Console()
guard StandardStream.output.isOpen else { console.fail(.ioError, "standard output is closed") }
Descriptor.openMissingStandardDescriptors()
ignoreBrokenPipes()

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "bench" { LoadBenchmark.run(Array(arguments.dropFirst())) }

var settings = ClientSettings()
do throws(UsageError) {
    switch try ClientSettings.command.parse(arguments, into: &settings) {
    case .help: console.write(Array("\(ClientSettings.command.help)\n".utf8))
    case .version: console.write(Array("client (Lifeline) \(lifelineVersion)\n".utf8))
    case .generate(let what):
        console.write(Array("\(ClientSettings.command.generated(what, for: "lifeline-client"))\n".utf8))
    case .run:
        try settings.check()
        settings.options.connectTimeout = settings.timeout
        var run = Run(settings, console)
        let status = settings.mode == .long ? await run.long() : await run.short()
        exitProcess(status.rawValue)
    }
} catch {
    console.fail(.usage, error.description)
}
exitProcess(ExitStatus.ok.rawValue)
