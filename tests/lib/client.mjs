// What the Fig Nodes editor sends: its nine calls (CONTRACT A33), no more and no less. A reply is read
// as JSON whatever its status, as the editor does; a 401 sends the user to /login and throws.
export class FigNodesClient {
	constructor(http) {
		this.http = http;
		this.token = null;
		this.wentTo = null; // where the browser was sent
		this.last = null; // the Reply behind the last call
	}

	setToken(token) {
		this.token = token;
	}

	async #call(path, method = 'GET', body) {
		const reply = await this.http.request(method, path, {
			token: this.token,
			headers: { 'content-type': 'application/json' },
			body: body === undefined ? undefined : JSON.stringify(body),
		});
		this.last = reply;
		if (reply.status === 401) {
			this.wentTo = '/login';
			throw new Error('Unauthorized');
		}
		return reply.json;
	}

	listWorkspaces() {
		return this.#call('/api/v1/workspaces');
	}

	createWorkspace(name, description) {
		return this.#call('/api/v1/workspaces', 'POST', { name, description });
	}

	listGraphs(workspaceId) {
		return this.#call(`/api/v1/workspaces/${workspaceId}/graphs`);
	}

	getGraph(graphId) {
		return this.#call(`/api/v1/graphs/${graphId}`);
	}

	createGraph(workspaceId, name, data) {
		return this.#call('/api/v1/graphs', 'POST', { workspace_id: workspaceId, name, data });
	}

	updateGraph(graphId, data, commitMessage) {
		return this.#call(`/api/v1/graphs/${graphId}`, 'PUT', { data, commit_message: commitMessage });
	}

	deleteGraph(graphId) {
		return this.#call(`/api/v1/graphs/${graphId}`, 'DELETE');
	}

	listGraphVersions(graphId) {
		return this.#call(`/api/v1/graphs/${graphId}/versions`);
	}

	restoreGraphVersion(graphId, version) {
		return this.#call(`/api/v1/graphs/${graphId}/restore/${version}`, 'POST');
	}
}
