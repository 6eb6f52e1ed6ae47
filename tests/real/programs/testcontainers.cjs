// testcontainers for Node: `pull IMAGE` by the engine, or without an engine `look-up IMAGE`. A look-up prints the name and
// the password, each on a line of its own, or nothing.
const { createRequire } = require("node:module");

const [verb, what] = process.argv.slice(2);
const itself = createRequire(`${process.env.TESTCONTAINERS}/package.json`);
const { ImageName } = itself("./build/container-runtime/image-name");
const { getAuthConfig } = itself("./build/container-runtime/auth/get-auth-config");
const { DockerImageClient } = itself("./build/container-runtime/clients/image/docker-image-client");
const Dockerode = itself("dockerode");

async function lookUp() {
  // What an engine says of itself, for an image that names no registry.
  const found = await getAuthConfig(ImageName.fromString(what).registry ?? "https://index.docker.io/v1/");
  if (found) console.log(`${found.username}\n${found.password}`);
}

async function pull() {
  const engine = new Dockerode();
  const images = new DockerImageClient(engine, (await engine.info()).IndexServerAddress);
  await images.pull(ImageName.fromString(what), { force: true });
  console.log((await engine.getImage(what).inspect()).RepoDigests);
}

(verb === "pull" ? pull() : lookUp()).catch((error) => {
  console.log(String(error));
  process.exitCode = 1;
});
