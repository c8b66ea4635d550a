// Runs a test program that was compiled for wasm32-wasip1: node .ci/wasi.mjs PROGRAM ARGUMENT...
//
// It sees the environment, and this repository as its root folder. There are neither threads nor unwinding: what panics
// ends the program.
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const [program, ...args] = process.argv.slice(2);
const root = new URL('..', import.meta.url).pathname;
const wasi = new WASI({ version: 'preview1', args: [program, ...args], env: process.env, preopens: { '/': root } });
const module = await WebAssembly.compile(await readFile(program));
// The standard library calls these for threads, of which there are none.
const threads = WebAssembly.Module.imports(module).filter(({ name }) => /^pthread_/.test(name));
const env = Object.fromEntries(threads.map(({ name }) => [name, () => {
    throw new Error(`${name} was called`);
}]));
const instance = await WebAssembly.instantiate(module, { ...wasi.getImportObject(), env });
// Two gigabytes, which none of the tests exceeds: Node 20 crashes where memory grows by much while a program runs.
const { memory } = instance.exports;
memory.grow(2 ** 15 - memory.buffer.byteLength / 2 ** 16);
process.exitCode = wasi.start(instance);
