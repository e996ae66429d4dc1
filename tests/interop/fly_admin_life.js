// A machine's whole life with npm's fly-admin, printed as one JSON object.
const Client = require('fly-admin/dist/client').default

const [, , apiUrl] = process.argv
const app_name = 'by-fly-admin'

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// This client leaves it to its caller to slow down when it is told so.
async function patiently (call) {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!error.message.startsWith('429')) throw error
      await pause(300)
    }
  }
}

async function main () {
  const client = new Client('fm2_of-nobody', { apiUrl })
  const seen = {}
  await client.App.createApp({ app_name, org_slug: 'personal' })
  seen.app = await client.App.getApp(app_name)
  seen.apps = (await client.App.listApps('personal')).apps.map((app) => app.name)

  const created = await client.Machine.createMachine({
    app_name,
    name: 'one',
    region: 'ams',
    config: {
      image: 'registry-1.docker.io/library/alpine:3.20',
      init: { cmd: ['sleep', '60'] },
      env: { A: '1' },
      metadata: { pool: 'a' },
      restart: { policy: 'no' },
      guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 256 }
    }
  })
  seen.created = created
  const one = { app_name, machine_id: created.id }
  const wait = (state) =>
    patiently(() => client.Machine.waitMachine({ ...one, state, timeout: '30s' }))
  seen.started = await wait('started')
  seen.listed = await client.Machine.listMachines(app_name)
  seen.elsewhere = await client.Machine.listMachines({ app_name, region: 'fra' })
  seen.processes = await client.Machine.listProcesses(one)
  seen.lease = await client.Machine.acquireLease({ ...one, ttl: 1 })
  seen.held = await client.Machine.getLease(one)
  await pause(1100)

  await client.Machine.cordonMachine(one)
  await client.Machine.uncordonMachine(one)
  seen.restarted = await client.Machine.restartMachine(one)
  await wait('started')
  seen.updated = await client.Machine.updateMachine({
    ...one,
    config: { ...created.config, env: { A: '2' }, stop_config: { signal: 'SIGKILL' } }
  })
  await wait('started')
  seen.versions = await client.Machine.listVersions(one)
  await client.Machine.signalMachine({ ...one, signal: 'SIGUSR1' })
  await wait('stopped')
  seen.start = await client.Machine.startMachine(one)
  await wait('started')
  seen.refusal = await client.Machine.deleteMachine(one).catch(String)
  seen.stop = await client.Machine.stopMachine({ ...one, signal: 'SIGKILL' })
  await wait('stopped')
  seen.events = await client.Machine.listEvents(one)
  seen.deleted = await client.Machine.deleteMachine({ ...one, force: true })
  await wait('destroyed')
  seen.last = (await client.Machine.getMachine(one)).state
  await client.App.deleteApp(app_name)
  seen.gone = await client.App.getApp(app_name).catch(String)
  console.log(JSON.stringify(seen))
}

main().catch((error) => { console.error(error); process.exit(1) })
